//! Proofs have a short form, for every run of the tests, and a long one, for `make torture`.

/// Whether the long form of a proof is asked for (`make torture`).
pub fn long_form() -> bool {
    std::env::var_os("WF_LONG").is_some()
}
