#![allow(dead_code)]
mod emulator;
mod model;
mod planner;
#[cfg(test)]
mod tests;
mod vault;
