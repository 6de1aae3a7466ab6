//! [`Contents`]: the bytes of a file, live and durable.

use bytes::{Bytes, BytesMut};

use super::data_loss::{Fate, Remains};

/// The bytes of a file. It starts empty, and that is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    live: Bytes,
    durable: Bytes,
    spoilt: bool,
}

impl Contents {
    pub(super) fn live(&self) -> &Bytes {
        &self.live
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        let mut live = BytesMut::from(self.live.as_ref());
        live.extend_from_slice(bytes);
        self.live = live.freeze();
    }

    /// Makes the contents durable, unless an earlier flush of them failed.
    pub(super) fn flush(&mut self) {
        if !self.spoilt {
            self.durable = self.live.clone();
        }
    }

    /// The kernel forgets what it could not flush: it takes the pages for clean, so that no later
    /// flush writes them.
    pub(super) fn fail_to_flush(&mut self) {
        self.spoilt |= self.live != self.durable;
    }

    /// What is found after a power cut.
    pub(super) fn after_power_cut(&self, fate: &mut Fate) -> Contents {
        let found = if self.live == self.durable {
            self.durable.clone()
        } else {
            self.left_by(fate.remains(self.live.len()))
        };
        Contents {
            live: found.clone(),
            durable: found,
            spoilt: false,
        }
    }

    fn left_by(&self, remains: Remains) -> Bytes {
        match remains {
            Remains::Whole => self.live.clone(),
            Remains::Durable => self.durable.clone(),
            Remains::Cut(len) => self.live.slice(..len),
            Remains::Zeroed(from) => {
                let mut found = BytesMut::from(&self.live[..from]);
                found.resize(self.live.len(), 0);
                found.freeze()
            }
        }
    }
}
