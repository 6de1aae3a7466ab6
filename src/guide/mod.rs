//! Pages to read: examples to copy, and recipes for operators. There is no code here.

#[doc = include_str!("examples.md")]
pub mod examples {}

#[doc = include_str!("operators.md")]
pub mod operators {}
