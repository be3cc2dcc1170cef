//! The verifier against exports that are written here by the specification, and then spoiled.

#[cfg(test)]
mod corruption;
#[cfg(test)]
mod forgery;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod writer;
