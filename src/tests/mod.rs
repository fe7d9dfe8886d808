//! Everything the product promises, tried.

mod cli;
mod client;
mod conformance;
mod doctor;
mod invariants;
mod mail;
mod operator;
mod oracle;
mod planner;
mod rules;
mod scenario;
mod service;
mod stage;
mod tidy;
mod upkeep;
mod web;
mod world;
