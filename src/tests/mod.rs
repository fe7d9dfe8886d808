//! Everything the product promises, tried.

mod cli;
mod conformance;
mod oracle;
mod planner;
mod scenario;
mod tidy;
mod world;
