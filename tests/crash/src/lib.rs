//! Dying: `kill -9` at any moment loses nothing that got a 2xx.
#![cfg(test)]

mod kill;
