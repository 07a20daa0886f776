//! Stories of the main job: a lead comes in, three outside systems get it.
#![cfg(test)]

mod approval;
mod audit;
mod authorizing;
mod circles;
mod cli;
mod composing;
mod consent;
mod lead;
mod login;
mod made;
mod mtls;
mod notices;
mod retaining;
mod retrying;
mod schedule;
mod schemas;
mod signing;
mod step_test;
mod steps;
mod stopping;
mod triggers;
mod waiting;
mod webhooks;
