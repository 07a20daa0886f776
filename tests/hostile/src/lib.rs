//! Bad input.
#![cfg(test)]
