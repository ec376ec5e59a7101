//! The runtime's side, driven through real programs: a shell script that records how it is called (`recorder.sh`).
//!
//! `golden-cache.json` and `golden-request.json` are what libcni wrote for `golden.conflist` and `golden-answer.json`.
#[cfg(test)]
mod cache;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod conflist;
#[cfg(test)]
mod lab;
