//! The runtime's side, driven through real programs: a shell script that records how it is called (`recorder.sh`).
//!
//! `golden-cache.json` and `golden-request.json` are what libcni 1.1.2 wrote for `golden.conflist` and `golden-answer.json`;
//! `netns`, new in a later libcni, was put where its `cachedInfo` has it.
#[cfg(test)]
mod cache;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod conflist;
#[cfg(test)]
mod lab;
