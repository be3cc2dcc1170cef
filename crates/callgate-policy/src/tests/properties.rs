//! What must hold for every bundle and every call.
