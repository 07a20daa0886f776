//! The sandbox against real components: probes in Rust, and what no toolchain
//! would make, written by hand.

#[cfg(test)]
mod artefacts;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod compiling;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod wasi;
#[cfg(test)]
mod wasi_floods;
