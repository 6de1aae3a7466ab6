//! Conversions between the two versions of the format.
//!
//! Version 0 has no `SHARDING`: its shard directories are those of `prefix/n`, and every program has to
//! know the n. So a conversion writes or removes `SHARDING`, and moves no block. After every step the
//! directory is complete in one of the two versions.

use std::path::Path;

use crate::blocking;
use crate::disk::{Kind, Listing, if_there};
use crate::error::{Error, ExpectedEntry, Result};
use crate::format::Shard;
use crate::format::{self, BlockKey, SHARDING, TEMP, UNCLEAN};
use crate::store::{DirState, Opener};
use crate::walk::{RootEntries, RootEntry, ShardDir};

/// Upgrades a directory of version 0 to a store. Such a directory has blocks in shard directories named by
/// the first `prefix_len` characters of their keys, but no `SHARDING`. No block is changed.
///
/// Every shard directory must have a name of that length, and the first block in it must belong there. So
/// neither a wrong `prefix_len` nor a store that has lost its `SHARDING` can hide blocks. An empty directory
/// becomes an empty store. Everything in `.temp` is removed, and the disk usage is counted when the store is
/// next opened.
///
/// ```no_run
/// # async fn example() -> ds_flatfs::Result<()> {
/// ds_flatfs::maintenance::upgrade("blocks", 5).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - [`Error::InvalidShard`]: `prefix_len` is 0 or more than 255.
/// - [`Error::NotConvertible`]: an entry does not fit.
/// - [`Error::Exists`] or [`Error::ShardMismatch`]: the directory is a store already.
/// - [`Error::NotAStore`]: the directory is neither a store nor of version 0.
/// - [`Error::Unexpected`]: something else is at the path of a directory.
/// - [`Error::Locked`]: a writer has the store open.
/// - [`Error::Io`]: a step fails.
///
/// # Cancel safety
///
/// If the future is dropped, the conversion continues in the background.
///
/// # Durability
///
/// The store survives a power cut after the call has returned. After a power cut during the conversion the
/// directory is a store, or of version 0 as before.
pub async fn upgrade(dir: impl AsRef<Path>, prefix_len: usize) -> Result<()> {
    let shard = Shard::prefix(prefix_len)?;
    let opener = Opener::of(dir.as_ref()).await?;
    blocking::run(move || to_version_1(&opener, shard)).await
}

/// Downgrades a store to a directory of version 0: removes its `SHARDING`, its cached disk usage and the
/// empty `.temp`. No block is changed, and no file that isn't the store's own. An empty hidden `.lock`
/// remains.
///
/// The shard function must be `prefix/n`, and `.temp` must be empty. If a session has crashed, open and close
/// the store first: that completes or removes what the session has left.
///
/// # Errors
///
/// - [`Error::NotConvertible`]: the shard function is not `prefix/n`, or `.temp` is not empty.
/// - [`Error::NotAStore`]: the directory is not a store.
/// - [`Error::InvalidShard`]: its `SHARDING` does not name a shard function.
/// - [`Error::Locked`]: a writer has the store open.
/// - [`Error::Io`]: a step fails.
///
/// # Cancel safety
///
/// If the future is dropped, the conversion continues in the background.
///
/// # Durability
///
/// The downgrade survives a power cut after the call has returned. After a power cut during the call the
/// directory is of version 0, or a store as before, which counts its disk usage when it is next opened.
pub async fn downgrade(dir: impl AsRef<Path>) -> Result<()> {
    let opener = Opener::of(dir.as_ref()).await?;
    blocking::run(move || to_version_0(&opener)).await
}

pub(crate) fn to_version_1(opener: &Opener, shard: Shard) -> Result<()> {
    // Checked before the lock is taken, which creates a file: a directory that is refused stays unchanged.
    check_version_0(opener, shard)?;
    let _lock = opener.lock()?;
    // Checked again: another process may have changed the directory before the lock was taken.
    check_version_0(opener, shard)?;
    opener.mark_as_store(shard)
}

pub(crate) fn to_version_0(opener: &Opener) -> Result<()> {
    check_version_1(opener)?;
    let _lock = opener.lock()?;
    // Checked again: another process may have changed the directory before the lock was taken.
    check_version_1(opener)?;
    check_nothing_in_flight(opener)?;
    // Removed durably before the mark of an unclean session: after a power cut the directory may still be a store, and
    // without the mark it would trust a figure that a crash has made stale.
    opener.forget_disk_usage()?;
    opener.remove_file(UNCLEAN)?;
    // `.temp` is removed before `SHARDING`: if another program has created something in it since the check,
    // this fails and the directory is still a store.
    let temp = opener.root.join(TEMP);
    if_there(opener.disk.remove_dir(&temp)).map_err(|error| Error::io("remove", temp, error))?;
    opener.remove_file(SHARDING)?;
    opener.sync_dir(&opener.root)
}

fn check_version_1(opener: &Opener) -> Result<()> {
    match opener.probe()? {
        DirState::Store(found) if is_prefix(found) => Ok(()),
        DirState::Store(found) => Err(Error::NotConvertible {
            path: opener.root.join(SHARDING),
            reason: format!(
                "it names {}, and a directory of version 0 is always sharded by prefix",
                found.short()
            ),
        }),
        state @ DirState::Resharding(_) => Err(opener.refusal(&state)),
        DirState::Missing => Err(opener.not_a_store("there is no such directory")),
        DirState::Empty | DirState::Foreign => {
            Err(opener.not_a_store("it has no SHARDING to remove"))
        }
    }
}

fn is_prefix(shard: Shard) -> bool {
    Shard::prefix(shard.length()).is_ok_and(|prefix| prefix == shard)
}

/// Checks that `.temp` is empty. A program that knows only version 0 would never apply a pending commit, and
/// could mistake the blocks of an uncommitted batch for blocks of the store.
fn check_nothing_in_flight(opener: &Opener) -> Result<()> {
    let temp = opener.root.join(TEMP);
    let Some(mut entries) = list_if_there(opener, &temp)? else {
        return Ok(());
    };
    match entries.next() {
        None => Ok(()),
        Some(Err(error)) => Err(Error::io("list", temp, error)),
        Some(Ok(entry)) => Err(Error::NotConvertible {
            path: temp.join(entry.name),
            reason: "a session that crashed has left it; \
                     open the store for writing and close it again, which applies or removes it"
                .to_owned(),
        }),
    }
}

fn check_version_0(opener: &Opener, shard: Shard) -> Result<()> {
    match opener.probe()? {
        DirState::Empty => Ok(()),
        DirState::Foreign => check_shard_dirs(opener, shard),
        state @ DirState::Resharding(_) => Err(opener.refusal(&state)),
        DirState::Missing => Err(opener.not_a_store("there is no such directory")),
        DirState::Store(found) => {
            opener.check_shard(found, Some(shard))?;
            Err(Error::Exists {
                path: opener.root.clone(),
            })
        }
    }
}

fn check_shard_dirs(opener: &Opener, shard: Shard) -> Result<()> {
    let mut has_shards = false;
    for entry in RootEntries::list(&*opener.disk, &opener.root)? {
        let entry = entry?;
        if !entry.is_hidden() && entry.kind != Kind::File {
            check_shard_dir(opener, shard, &entry)?;
            has_shards = true;
        }
    }
    if has_shards {
        Ok(())
    } else {
        Err(opener.not_a_store("it has files, but no shard directories"))
    }
}

fn check_shard_dir(opener: &Opener, shard: Shard, entry: &RootEntry) -> Result<()> {
    let path = opener.root.join(&entry.name);
    if entry.kind != Kind::Dir {
        return Err(entry.kind.unexpected(path, ExpectedEntry::Directory));
    }
    if !format::is_shard_name(&entry.name) || entry.name.len() != shard.length() {
        return Err(Error::NotConvertible {
            path,
            reason: format!("{} has no directory of that name", shard.short()),
        });
    }
    let name = entry.name.to_string_lossy();
    match first_block(opener, &name)? {
        Some(block) if *shard.dir(block.name()) != *entry.name => Err(Error::NotConvertible {
            path: path.join(block.file_name()),
            reason: format!(
                "with {} it would belong in {}",
                shard.short(),
                shard.dir(block.name())
            ),
        }),
        _ => Ok(()),
    }
}

fn first_block(opener: &Opener, name: &str) -> Result<Option<BlockKey>> {
    let Some(mut dir) = ShardDir::open(&*opener.disk, &opener.root, name)? else {
        return Ok(None);
    };
    while let Some(entry) = dir.next_entry()? {
        if let Some(block) = BlockKey::of_file(entry.name()) {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

fn list_if_there(opener: &Opener, dir: &Path) -> Result<Option<Listing>> {
    if_there(opener.disk.list(dir)).map_err(|error| Error::io("list", dir, error))
}
