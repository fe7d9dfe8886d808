//! Everything the product promises, tried.
mod conformance;
