//! control
#![allow(dead_code)]
mod documents;
