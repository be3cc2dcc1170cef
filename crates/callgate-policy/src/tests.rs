//! What the crate promises, shown on a small world of its own.

mod decisions;
mod loading;
mod model;
mod nested;
mod obligations;
mod pack;
mod properties;
mod shadow;
mod views;
mod world;
