//! A word to the agent: look now. A plugin that has changed something on this node says it, and one that waits for what the agent writes down.
use plan::{POKE, State};
use std::time::Duration;
use tokio::{sync::watch, time::timeout};

/// Has the agent of this host look at once, if there is one; if not, nobody misses it.
pub fn poke() {
    let _is_there = State::from_env().is_ok_and(|state| plan::poke(&state));
}

/// Each clone hears of all that were poked since it last waited.
#[derive(Debug, Clone)]
pub(crate) struct Pokes {
    to_all: watch::Sender<()>,
    heard: watch::Receiver<()>,
}

impl Default for Pokes {
    fn default() -> Self {
        let (to_all, heard) = watch::channel(());
        Self { to_all, heard }
    }
}

impl Pokes {
    /// Waits for a poke, but no longer than this; whether there was one.
    pub(crate) async fn wait(&mut self, patience: Duration) -> bool {
        timeout(patience, self.heard.changed()).await.is_ok()
    }

    /// Hears whether a caller pokes who says this.
    pub(crate) fn hear(&self, said: &[u8]) {
        if said == POKE {
            self.to_all.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    #[test]
    fn the_word_is_heard_by_all_who_wait_and_nothing_else_is() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pokes = Pokes::default();
            let mut other = pokes.clone();
            let ears = pokes.clone();
            for words in [&b""[..], b"lo", b"GET /metrics"] {
                ears.hear(words);
            }
            assert!(!pokes.clone().wait(Duration::ZERO).await);
            ears.hear(b"look\n");
            ears.hear(b"look\n");
            assert!(pokes.wait(Duration::ZERO).await && other.wait(Duration::ZERO).await);
            assert!(!pokes.wait(Duration::ZERO).await, "two that came together are one look");
        });
    }
}
