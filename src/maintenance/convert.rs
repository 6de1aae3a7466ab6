//! Conversions between the two versions of the format.
//!
//! Version 0 has no `SHARDING`: its shard directories are those of `prefix/n`, and every program has to
//! know the n. So a conversion writes or removes `SHARDING`, and moves no block. After every step the
//! directory is complete in one of the two versions.

use std::path::Path;

use crate::blocking;
use crate::disk::{Kind, Listing, if_there};
use crate::error::{Error, Result};
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
/// Returns [`Error::InvalidShard`] if `prefix_len` is 0 or more than 255, [`Error::NotConvertible`] if an
/// entry does not fit, [`Error::Exists`] or [`Error::ShardMismatch`] if the directory is a store already,
/// [`Error::NotAStore`] if it is neither, [`Error::Unexpected`], [`Error::Locked`] and [`Error::Io`].
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
    let opening = Opener::of(dir.as_ref()).await?;
    blocking::run(move || to_version_1(&opening, shard)).await
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
/// Returns [`Error::NotConvertible`] if the shard function is not `prefix/n` or `.temp` is not empty,
/// [`Error::NotAStore`], [`Error::InvalidShard`], [`Error::Locked`] if a writer has it open, and
/// [`Error::Io`].
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
    let opening = Opener::of(dir.as_ref()).await?;
    blocking::run(move || to_version_0(&opening)).await
}

pub(crate) fn to_version_1(opening: &Opener, shard: Shard) -> Result<()> {
    // Checked before the lock is taken, which creates a file: a directory that is refused stays unchanged.
    check_version_0(opening, shard)?;
    let _lock = opening.lock()?;
    check_version_0(opening, shard)?;
    opening.mark_as_store(shard)
}

pub(crate) fn to_version_0(opening: &Opener) -> Result<()> {
    check_version_1(opening)?;
    let _lock = opening.lock()?;
    check_version_1(opening)?;
    check_nothing_in_flight(opening)?;
    opening.forget_disk_usage()?;
    opening.remove_file(UNCLEAN)?;
    // `.temp` is removed before `SHARDING`: if another program has created something in it since the check,
    // this fails and the directory is still a store.
    let temp = opening.root.join(TEMP);
    if_there(opening.disk.remove_dir(&temp)).map_err(|error| Error::io("remove", temp, error))?;
    opening.remove_file(SHARDING)?;
    opening.sync_dir(&opening.root)
}

fn check_version_1(opening: &Opener) -> Result<()> {
    match opening.probe()? {
        DirState::Store(found) if is_prefix(found) => Ok(()),
        DirState::Store(found) => Err(Error::NotConvertible {
            path: opening.root.join(SHARDING),
            reason: format!(
                "it names {}, and a directory of version 0 is always sharded by prefix",
                found.short()
            ),
        }),
        place @ DirState::Resharding(_) => Err(opening.refusal(&place)),
        DirState::Missing => Err(opening.not_a_store("there is nothing")),
        DirState::Empty | DirState::Foreign => {
            Err(opening.not_a_store("it has no SHARDING to remove"))
        }
    }
}

fn is_prefix(shard: Shard) -> bool {
    Shard::prefix(shard.length()).is_ok_and(|prefix| prefix == shard)
}

/// Checks that `.temp` is empty. A program that knows only version 0 would never apply a pending commit, and
/// could take the blocks of an uncommitted batch for blocks of the store.
fn check_nothing_in_flight(opening: &Opener) -> Result<()> {
    let temp = opening.root.join(TEMP);
    let Some(mut entries) = list_if_there(opening, &temp)? else {
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

fn check_version_0(opening: &Opener, shard: Shard) -> Result<()> {
    match opening.probe()? {
        DirState::Empty => Ok(()),
        DirState::Foreign => check_shard_dirs(opening, shard),
        place @ DirState::Resharding(_) => Err(opening.refusal(&place)),
        DirState::Missing => Err(opening.not_a_store("there is nothing")),
        DirState::Store(found) => {
            opening.check_shard(found, Some(shard))?;
            Err(Error::Exists {
                path: opening.root.clone(),
            })
        }
    }
}

fn check_shard_dirs(opening: &Opener, shard: Shard) -> Result<()> {
    let mut has_shards = false;
    for entry in RootEntries::list(&*opening.disk, &opening.root)? {
        let entry = entry?;
        if !entry.is_hidden() && entry.kind != Kind::File {
            check_shard_dir(opening, shard, &entry)?;
            has_shards = true;
        }
    }
    if has_shards {
        Ok(())
    } else {
        Err(opening.not_a_store("it has files, but no shard directories"))
    }
}

fn check_shard_dir(opening: &Opener, shard: Shard, entry: &RootEntry) -> Result<()> {
    let path = opening.root.join(&entry.name);
    if entry.kind != Kind::Dir {
        return Err(entry.kind.unexpected(path, "directory"));
    }
    if !format::is_shard_name(&entry.name) || entry.name.len() != shard.length() {
        return Err(Error::NotConvertible {
            path,
            reason: format!("{} has no directory of that name", shard.short()),
        });
    }
    let name = entry.name.to_string_lossy();
    match first_block(opening, &name)? {
        Some(block) if *shard.dir(block.name()) != *entry.name => Err(Error::NotConvertible {
            path: path.join(block.file_name()),
            reason: format!(
                "with {} it would belong into {}",
                shard.short(),
                shard.dir(block.name())
            ),
        }),
        _ => Ok(()),
    }
}

fn first_block(opening: &Opener, name: &str) -> Result<Option<BlockKey>> {
    let Some(mut dir) = ShardDir::open(&*opening.disk, &opening.root, name)? else {
        return Ok(None);
    };
    while let Some(entry) = dir.next_entry()? {
        if let Some(block) = BlockKey::of_file(entry.name()) {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

fn list_if_there(opening: &Opener, dir: &Path) -> Result<Option<Listing>> {
    if_there(opening.disk.list(dir)).map_err(|error| Error::io("list", dir, error))
}
