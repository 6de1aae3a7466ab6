//! [`Contents`]: the bytes of a file, live and durable.

use bytes::{Bytes, BytesMut};

use super::data_loss::{LossModel, SurvivingContents};

/// The bytes of a file. A new file is empty, and that is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    live: Bytes,
    durable: Bytes,
    flush_failed: bool,
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
        if !self.flush_failed {
            self.durable = self.live.clone();
        }
    }

    /// Fails to flush the contents. The kernel marks pages as clean when it fails to write them, so
    /// no later flush writes them.
    pub(super) fn fail_to_flush(&mut self) {
        self.flush_failed |= self.live != self.durable;
    }

    /// Returns the contents that are found after a power cut.
    pub(super) fn after_power_cut(&self, loss: &mut LossModel) -> Contents {
        let found = if self.live == self.durable {
            self.durable.clone()
        } else {
            self.surviving(loss.surviving_contents(self.live.len()))
        };
        Contents {
            live: found.clone(),
            durable: found,
            flush_failed: false,
        }
    }

    fn surviving(&self, contents: SurvivingContents) -> Bytes {
        match contents {
            SurvivingContents::Live => self.live.clone(),
            SurvivingContents::Durable => self.durable.clone(),
            SurvivingContents::Truncated(len) => self.live.slice(..len),
            SurvivingContents::ZeroFilled(from) => {
                let mut found = BytesMut::from(&self.live[..from]);
                found.resize(self.live.len(), 0);
                found.freeze()
            }
        }
    }
}
