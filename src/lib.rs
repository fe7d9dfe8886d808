mod cli;
mod controller;
mod emulator;
mod google;
mod model;
mod planner;
mod store;
#[cfg(test)]
mod tests;
mod vault;

use std::{io, process::ExitCode};

/// Runs the program with this process's arguments, environment and streams.
pub fn run() -> ExitCode {
    let env = std::env::vars().collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("busybridge: this machine gives no threads: {error}");
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(cli::run(std::env::args_os(), &env, &mut io::stdout(), &mut io::stderr()));
    ExitCode::from(code)
}
