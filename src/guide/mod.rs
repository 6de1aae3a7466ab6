//! Pages to read: examples, recipes for operators, and the design. This module has no code.

#[doc = include_str!("examples.md")]
pub mod examples {}

#[doc = include_str!("operators.md")]
pub mod operators {}

#[doc = include_str!("design.md")]
pub mod design {}
