//! Everything the product promises, tried.

mod conformance;
mod scenario;
mod tidy;
mod world;
