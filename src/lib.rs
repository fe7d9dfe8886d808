#![allow(dead_code)]
mod emulator;
mod model;
mod planner;
mod store;
#[cfg(test)]
mod tests;
mod vault;
