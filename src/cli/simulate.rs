//! `busybridge simulate`: lives through simulated worlds and looks for one in which something goes wrong that must not.

use std::{io::Write, path::PathBuf, time::Instant};

use super::{Ending, Failure};
use crate::simulation::{
    Harvest, Nursery, crash,
    faults::{FAULTS, STEPS, fits},
    many,
    tape::{Tape, from_text, shrink, to_text},
};

/// What to live through.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// How many worlds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first world's seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Ticks in each world, before it comes to rest
    #[arg(long, default_value_t = 60)]
    ticks: u32,
    /// One world from a kept tape, with what happened in it
    #[arg(long)]
    tape: Option<PathBuf>,
    /// Also dies at every single step of five stories
    #[arg(long)]
    crashes: bool,
    /// Tries to make a failing tape smaller
    #[arg(long, default_value_t = 400)]
    shrink: usize,
}

/// Lines of a world's history that are shown.
const SHOWN: usize = 200;

/// Lives through them; exit code 1 when something went wrong.
///
/// # Errors
/// When there is no room for databases, or a tape cannot be read.
pub fn run(arguments: &Arguments, out: &mut (dyn Write + Send)) -> Ending {
    let nursery = Nursery::new().map_err(Failure::failed)?;
    if let Some(path) = &arguments.tape {
        let text = std::fs::read_to_string(path).map_err(Failure::failed)?;
        let (ticks, tape) = from_text(&text).ok_or_else(|| Failure::usage("this is no tape"))?;
        return replay(&nursery, tape, ticks, out);
    }
    let begun = Instant::now();
    let bar = indicatif::ProgressBar::new(arguments.seeds);
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let harvest = many(&nursery, seeds, arguments.ticks, &|n| bar.set_position(n));
    bar.finish_and_clear();
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    out.write_all(told(&harvest, minutes).as_bytes()).map_err(Failure::failed)?;
    let mut code = 0;
    if arguments.crashes {
        let begun = Instant::now();
        let (runs, wrong) = crash::all(&nursery);
        let seconds = begun.elapsed().as_secs_f64();
        writeln!(out, "{runs} runs that died, {} of them wrong, in {seconds:.0} s", wrong.len())
            .map_err(Failure::failed)?;
        for text in wrong.iter().take(10) {
            let short: String = text.chars().take(600).collect();
            writeln!(out, "✕ {short}").map_err(Failure::failed)?;
        }
        code = u8::from(!wrong.is_empty());
    }
    let Some((seed, first)) = harvest.failed.first() else { return Ok(code) };
    for (seed, text) in &harvest.failed {
        let short: String = text.chars().take(300).collect();
        writeln!(out, "seed {seed}: {short}").map_err(Failure::failed)?;
    }
    let life = nursery.life(Tape::seeded(*seed), arguments.ticks, "aa");
    let kind = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    let wanted = kind(first);
    let smaller = shrink(&life.tape, arguments.shrink, |tape| {
        let life = nursery.life(Tape::of(tape.to_vec()), arguments.ticks, "aa");
        life.violations.first().is_some_and(|text| kind(text) == wanted)
    });
    let text = to_text(&format!("seed {seed}: {first}"), arguments.ticks, &smaller);
    let file = std::env::temp_dir().join(format!("busybridge-tape-{seed}.txt"));
    std::fs::write(&file, &text).map_err(Failure::failed)?;
    writeln!(out, "\nThe smallest tape found ({}):\n{text}", file.display()).map_err(Failure::failed)?;
    replay(&nursery, smaller, arguments.ticks, out)?;
    Ok(1)
}

fn replay(nursery: &Nursery, tape: Vec<u32>, ticks: u32, out: &mut (dyn Write + Send)) -> Ending {
    let life = nursery.life(Tape::of(tape), ticks, "aa");
    let file = std::env::temp_dir().join("busybridge-history.txt");
    std::fs::write(&file, life.log.join("\n")).map_err(Failure::failed)?;
    writeln!(out, "The whole history is in {}; its end:", file.display()).map_err(Failure::failed)?;
    for line in &life.log[life.log.len().saturating_sub(SHOWN)..] {
        let short: String = line.chars().take(900).collect();
        writeln!(out, "{short}").map_err(Failure::failed)?;
    }
    for violation in &life.violations {
        writeln!(out, "✕ {violation}").map_err(Failure::failed)?;
    }
    writeln!(
        out,
        "{} ticks, {} calls ({} writes that may tell nothing), {} faults, digest {:016x}",
        life.ticks,
        life.calls,
        life.told.len(),
        life.faults,
        life.hash
    )
    .map_err(Failure::failed)?;
    Ok(u8::from(!life.violations.is_empty()))
}

/// The figures, and how often each fault struck each kind of call.
fn told(harvest: &Harvest, minutes: f64) -> String {
    let Harvest { worlds, ticks, calls, faults, writes, hits, failed } = harvest;
    let mut text = format!(
        "{worlds} worlds, {ticks} ticks, {calls} calls ({writes} writes), {faults} faults in {:.0} s: {:.0} worlds, {:.0} ticks, \
         {:.0} calls, {:.0} faults a minute; {} failed\n",
        minutes * 60.0,
        *worlds as f64 / minutes,
        *ticks as f64 / minutes,
        *calls as f64 / minutes,
        *faults as f64 / minutes,
        failed.len()
    );
    text.push_str(&format!("{:20}{}\n", "", STEPS.map(|name| format!("{name:>8}")).concat()));
    let cell = |at| match hits.get(&at) {
        Some(n) => n.to_string(),
        None if fits(at.0, at.1) => "0".into(),
        None => "·".into(),
    };
    for (fault, name) in FAULTS.iter().enumerate() {
        let row: String = (0..STEPS.len()).map(|step| format!("{:>8}", cell((fault, step)))).collect();
        text.push_str(&format!("{name:20}{row}\n"));
    }
    text.push_str("· does not apply. F23 (power cuts) and F27 (mail) lie outside: no database of a world outlives its process, and no tick\n");
    text.push_str("sends mail; they strike the real binary and the mail's own tests.\n");
    text
}
