//! Bad input, line by line: each story hands the real host something that it
//! must not swallow, and says what comes of it. What is refused names what,
//! where and what to do; a bystander's calls are answered meanwhile.
//!
//! [`probes`] says which probe is told in which stories; `make hostile` runs
//! them one at a time and prints with [`table`] what each cost.

pub mod probes;
pub mod table;

#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod wire;
