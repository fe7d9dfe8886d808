#![allow(dead_code)]
mod emulator;
mod model;
#[cfg(test)]
mod tests;
mod vault;
