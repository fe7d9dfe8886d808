//! Everything the product promises, tried.

mod conformance;
mod planner;
mod scenario;
mod tidy;
mod world;
