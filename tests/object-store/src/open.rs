//! [`Open`]: the connections that are open, and the requests that are served.

use std::sync::Arc;

use tokio::sync::watch;

/// The number of open connections and of requests that are served.
#[derive(Debug, Default)]
pub(crate) struct Open(watch::Sender<usize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenGuard(Arc<Open>);

impl Open {
    pub(crate) fn add(self: &Arc<Self>) -> OpenGuard {
        self.0.send_modify(|open| *open += 1);
        OpenGuard(Arc::clone(self))
    }

    pub(crate) async fn none_is_left(&self) {
        let mut open = self.0.subscribe();
        open.wait_for(|open| *open == 0)
            .await
            .expect("the sender is here");
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}
