//! The starter pack and the policy guide, as they are shipped.
