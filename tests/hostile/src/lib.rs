//! Bad input, line by line: each test hands the real host something that it
//! must not swallow, and says what comes of it. What is refused names what,
//! where and what to do; a bystander's calls are answered meanwhile.
#![cfg(test)]

mod absent;
mod artefacts;
mod bodies;
mod bombs;
mod bounds;
mod credentials;
mod crowds;
mod damage;
mod egress;
mod forged;
mod garbage;
mod logs;
mod lost;
mod outside;
mod outward;
mod packages;
mod quotas;
mod scene;
mod servers;
mod steps;
mod traps;
mod wire;
mod written;
