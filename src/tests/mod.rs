//! Everything the product promises, tried.

mod browser;
mod cli;
mod client;
mod conformance;
mod demo;
mod doctor;
mod hostile;
mod invariants;
mod mail;
mod operator;
mod oracle;
mod planner;
mod power;
mod rules;
mod samples;
mod scenario;
mod service;
mod stage;
mod supply;
mod tidy;
mod upkeep;
mod web;
mod world;
