//! Everything the product promises, tried.

mod cli;
mod client;
mod conformance;
mod oracle;
mod planner;
mod scenario;
mod tidy;
mod world;
