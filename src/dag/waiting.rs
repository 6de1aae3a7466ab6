//! [`Waiting`]: the blocks that a mark still has to read.

use std::sync::Arc;

use cid::Cid;

use super::nodes::Wanted;
use crate::error::{Error, Result};

/// The blocks that one block links to, and have to be read.
#[derive(Debug, Default)]
pub(super) struct Links {
    parent: Option<Arc<Cid>>,
    /// The bytes of their CIDs, one after another: a `Cid` takes 96 bytes, whatever its length.
    cids: Vec<u8>,
    /// How many of the bytes have been taken.
    taken: usize,
    len: usize,
}

impl Links {
    pub(super) fn push(&mut self, link: &Cid) -> Result<()> {
        // A vector takes any bytes, so this never fails.
        let written = link.write_bytes(&mut self.cids);
        written.map_err(|error| Error::Backend {
            message: "cannot note a link".to_owned(),
            source: Some(error.into()),
        })?;
        self.len += 1;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Wanted>> {
        let Some(mut rest) = self.cids.get(self.taken..).filter(|rest| !rest.is_empty()) else {
            return Ok(None);
        };
        // The bytes are those of CIDs. If that were wrong, the rest of the links must not be forgotten.
        let cid = Cid::read_bytes(&mut rest).map_err(|error| Error::Backend {
            message: "cannot read a link again".to_owned(),
            source: Some(error.into()),
        })?;
        self.taken = self.cids.len() - rest.len();
        self.len -= 1;
        let parent = self.parent.clone();
        Ok(Some(Wanted { cid, parent }))
    }
}

/// The blocks that still have to be read, last in, first out.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    links: Vec<Links>,
    len: usize,
}

impl Waiting {
    /// Adds the links of a block. Roots have no parent.
    pub(super) fn push(&mut self, parent: Option<&Cid>, links: Links) {
        if links.len > 0 {
            self.len += links.len;
            let parent = parent.map(|parent| Arc::new(*parent));
            self.links.push(Links { parent, ..links });
        }
    }

    /// Adds what another one has. It is taken first.
    pub(super) fn append(&mut self, mut other: Waiting) {
        self.links.append(&mut other.links);
        self.len += other.len;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn next(&mut self) -> Result<Option<Wanted>> {
        while let Some(last) = self.links.last_mut() {
            if let Some(wanted) = last.next()? {
                self.len -= 1;
                return Ok(Some(wanted));
            }
            self.links.pop();
        }
        Ok(None)
    }

    pub(super) fn take(&mut self, max: usize) -> Result<Vec<Wanted>> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(wanted) = self.next()?
        {
            taken.push(wanted);
        }
        Ok(taken)
    }
}
