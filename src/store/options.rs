//! [`Options`]: how a store is created and opened.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format::Shard;

/// How a store is created and opened.
///
/// ```no_run
/// use ds_flatfs::{Durability, Options, Shard};
///
/// # async fn example() -> ds_flatfs::Result<()> {
/// let store = Options::new()
///     .shard(Shard::next_to_last(3)?)
///     .durability(Durability::Commits)
///     .open_or_create("blocks")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they open or create a store"]
pub struct Options {
    pub(super) shard: Option<Shard>,
    pub(crate) durability: Durability,
    pub(crate) write_concurrency: usize,
    pub(super) max_open_files: Option<usize>,
    pub(super) read_only: bool,
    pub(super) kubo_lock: bool,
    pub(crate) file_mode: u32,
    pub(crate) existing_block: ExistingBlock,
    max_filter_memory: usize,
}

/// Which acknowledged writes survive a power cut. If only the process dies, by a panic, `kill -9` or the OOM
/// killer, no acknowledged write is lost in any mode.
///
/// | survives a power cut | [`EveryWrite`](Self::EveryWrite) | [`Commits`](Self::Commits) | [`OnSync`](Self::OnSync) | Windows |
/// | --- | --- | --- | --- | --- |
/// | an acknowledged put or delete | yes | after the next `sync` | after the next `sync` | if names do |
/// | an acknowledged batch commit | yes | yes | after the next `sync` | if names do |
/// | an unacknowledged batch is whole or absent | yes | yes | no; yes if only the process dies | if names do; yes if only the process dies |
/// | everything before an acknowledged `sync` | yes | yes | yes | if names do |
/// | a durable block that is overwritten is the old one or the new one | yes | yes | yes | if a replacement is one step |
/// | a new block is whole if it exists | yes | batches only, until the next `sync` | not until the next `sync` | as on the left |
///
/// In the less durable modes a power cut can lose the writes of about the last half minute: the kernel writes
/// older ones back by itself.
///
/// On Windows, files and directories are flushed by `FlushFileBuffers` at the same points. For a file on NTFS, ReFS,
/// FAT or exFAT, Microsoft documents that this writes the contents and the metadata of the file and flushes the cache
/// of the device
/// ([`NtFlushBuffersFileEx`](https://learn.microsoft.com/windows-hardware/drivers/ddi/ntifs/nf-ntifs-ntflushbuffersfileex)).
/// It does not document what the flush of a directory does to the names in it, so the table does not promise that they
/// are durable: after a power cut a new name may be missing, and a removed one may be back. On FAT, and on other file
/// systems whose directories cannot be flushed, they are not durable. Nor does it document that a power cut cannot
/// interrupt the replacement of a file
/// ([`MoveFileEx`](https://learn.microsoft.com/windows/win32/api/winbase/nf-winbase-movefileexw)).
///
/// All of this requires that the disk and the file system perform every flush, and report data that they could
/// not write.
///
/// With serde the values are `every-write`, `commits` and `on-sync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Durability {
    /// Every acknowledged write survives a power cut. The default.
    #[default]
    EveryWrite,
    /// Batch commits survive a power cut; single puts and deletes do after the next `sync`.
    Commits,
    /// Only what came before a `sync` survives a power cut. For blocks that can be fetched again.
    OnSync,
}

impl Durability {
    pub(crate) fn syncs_writes(self) -> bool {
        self == Durability::EveryWrite
    }

    pub(crate) fn syncs_commits(self) -> bool {
        self != Durability::OnSync
    }
}

/// What a put does if its key has a block. With serde the values are `overwrite` and `keep`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ExistingBlock {
    /// Replaces it, as go-ds-flatfs does. The default.
    #[default]
    Overwrite,
    /// Leaves it unchanged if it has the size of the new block, and replaces it otherwise. This is much
    /// faster, and correct if keys are hashes of the blocks. Only the size is compared, so a damaged block of
    /// the right size is never replaced: to repair blocks, put them with [`Overwrite`](Self::Overwrite).
    ///
    /// A block that is left unchanged is as durable as one that is written. Therefore, with
    /// [`Durability::EveryWrite`], an open flushes what another program may have left unwritten, and blocks are
    /// always replaced on file systems where syncfs(2) is not known to reach the disk. A commit with
    /// [`Durability::Commits`] always replaces blocks.
    Keep,
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

impl Options {
    /// Returns the default options.
    pub fn new() -> Self {
        Options {
            shard: None,
            durability: Durability::default(),
            write_concurrency: 16,
            max_open_files: None,
            read_only: false,
            kubo_lock: false,
            file_mode: 0o600,
            existing_block: ExistingBlock::default(),
            max_filter_memory: 64 << 20,
        }
    }

    /// Sets the shard function of a store that is created. The default is `next-to-last/2`, which kubo uses. An
    /// existing store must have this function.
    pub fn shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// Sets which acknowledged writes survive a power cut. The default is all of them.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many writes of one batch run at a time, each with its block in memory. The default is 16, as in
    /// go-ds-flatfs.
    pub fn write_concurrency(mut self, writes: usize) -> Self {
        self.write_concurrency = writes;
        self
    }

    /// Sets the maximum number of files that the store has open at a time. The default is a quarter of what the
    /// process may open (`RLIMIT_NOFILE`) when the store is opened, but at least 32 and at most 256.
    ///
    /// A quarter of them is for queries, and 19 are set aside for the lock, the store's directory, flushes and
    /// work in the background; reads, writes and batches have the rest. A few more are open for a moment: one for
    /// each thread that makes a cached read, and two for each batch whose directory is being removed.
    pub fn max_open_files(mut self, files: usize) -> Self {
        self.max_open_files = Some(files);
        self
    }

    /// Sets whether the store is opened read-only. It then takes no lock, so it can be opened while a writer has it
    /// open; it changes nothing on disk and refuses writes. It does not complete commits that a crash interrupted:
    /// until a writer opens the store, a part of such a batch may be visible.
    ///
    /// If the store is re-sharded or moved away while it is open, a read of a block that is not found is an error,
    /// and so is the end of a query. While a move runs, the blocks that were moved are absent.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets whether a writer also takes the lock of the kubo repo that the store belongs to, if it belongs to
    /// one: see [`KuboLock`](crate::KuboLock). Then kubo refuses to start while the store is open, and an
    /// open fails with [`Error::KuboRunning`] while kubo is running. The default is `false`. A store that is
    /// opened [read-only](Options::read_only) takes no lock.
    pub fn kubo_lock(mut self, kubo_lock: bool) -> Self {
        self.kubo_lock = kubo_lock;
        self
    }

    /// Sets the permissions of block files, before the umask is applied. The default is 0600, since blocks may be
    /// private. On Windows it has no effect: files inherit the permissions of their directory.
    pub fn file_mode(mut self, mode: u32) -> Self {
        self.file_mode = mode;
        self
    }

    /// Sets what a put does if its key has a block. The default is to replace it.
    pub fn existing_block(mut self, policy: ExistingBlock) -> Self {
        self.existing_block = policy;
        self
    }

    /// Sets how much memory, in bytes, a writer may use to know which blocks are absent. The default is 64 MiB, which
    /// is enough for about 30 million blocks; 0 turns this off.
    ///
    /// The first read that doesn't find its block lists the shard directory in the background. From then on most
    /// reads of absent blocks in that directory need neither the disk nor another thread. A shard directory that the
    /// store creates is known to be empty, so it is not listed before it has 64 blocks. The filter takes 1.75 bytes per
    /// block, and about 300 bytes per shard directory. Beyond the limit, blocks are looked up on disk if their shard
    /// directory is rarely read.
    ///
    /// A block that another program adds to a shard directory that was listed, or that the store has created since it
    /// was opened, ignoring the store's lock, may be reported as absent until the store is opened again. Turn this off where that can happen. A store that is opened
    /// [read-only](Options::read_only) always asks the file system.
    pub fn max_filter_memory(mut self, bytes: usize) -> Self {
        self.max_filter_memory = bytes;
        self
    }

    /// Returns the memory for the presence filter in bytes. Without the writer's lock no block is certainly absent,
    /// so a store that is open read-only has no filter.
    pub(super) fn filter_memory(&self) -> usize {
        if self.read_only {
            0
        } else {
            self.max_filter_memory
        }
    }

    /// Returns whether a durable put may leave a block that it finds unchanged. Such a block must already be
    /// durable.
    pub(super) fn relies_on_found_blocks(&self) -> bool {
        self.existing_block == ExistingBlock::Keep && self.durability.syncs_writes()
    }

    pub(super) fn check(&self) -> Result<()> {
        let invalid = |option, reason| Err(Error::InvalidOption { option, reason });
        if !(1..=MAX).contains(&self.write_concurrency) {
            return invalid("write_concurrency", "it must be between 1 and 1048576");
        }
        let files = self.max_open_files;
        if files.is_some_and(|files| !(MIN_OPEN_FILES..=MAX).contains(&files)) {
            return invalid("max_open_files", "it must be between 32 and 1048576");
        }
        if self.file_mode & !0o777 != 0 || self.file_mode & 0o600 != 0o600 {
            return invalid(
                "file_mode",
                "it must have permission bits only (at most 0777), and let the owner read and write (0600)",
            );
        }
        Ok(())
    }
}

pub(super) const MIN_OPEN_FILES: usize = 32;
const MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_options_are_refused_by_name() {
        for (options, name) in [
            (Options::new().write_concurrency(0), "write_concurrency"),
            (
                Options::new().write_concurrency(usize::MAX),
                "write_concurrency",
            ),
            (Options::new().max_open_files(31), "max_open_files"),
            (Options::new().max_open_files(usize::MAX), "max_open_files"),
            (Options::new().file_mode(0o444), "file_mode"),
            (Options::new().file_mode(0o100_600), "file_mode"),
        ] {
            let error = options.check().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(Options::new().check().is_ok());
    }
}
