//! [`Floor`]: the same work as plain `std::fs` calls, without async, checks and durability.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ds_flatfs::{Query, Shard};

use super::Blocks;

pub(crate) struct Floor {
    root: PathBuf,
    shard: Shard,
}

impl Floor {
    /// Creates a directory of its own below `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        let root = dir.join("floor");
        fs::create_dir_all(root.join(".temp")).expect("a directory");
        Floor::over(&root)
    }

    /// Uses the files of the store at `root`.
    pub(crate) fn over(root: &Path) -> Self {
        Floor {
            root: root.to_owned(),
            shard: Shard::default(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &str) -> PathBuf {
        let dir = self.root.join(self.shard.dir(name));
        dir.join(format!("{name}.data"))
    }

    fn temp(&self, name: &str) -> PathBuf {
        self.root.join(".temp").join(name)
    }

    pub(crate) fn put(&self, name: &str, value: &[u8]) {
        fs::write(self.temp(name), value).expect("a write");
        self.rename(name);
    }

    /// Puts a block whose contents, but not its name, survive a power cut.
    pub(crate) fn put_durably(&self, name: &str, value: &[u8]) {
        self.write_durably(name, value);
        self.rename(name);
    }

    /// Puts a block that survives a power cut as a whole: its contents, and its name.
    pub(crate) fn put_durably_with_name(&self, name: &str, value: &[u8]) {
        self.put_durably(name, value);
        self.flush_dir_of(name);
    }

    fn flush_dir_of(&self, name: &str) {
        let dir = self.root.join(self.shard.dir(name));
        let dir = File::open(dir).expect("a directory");
        dir.sync_all().expect("a flush");
    }

    fn write_durably(&self, name: &str, value: &[u8]) {
        let mut file = File::create(self.temp(name)).expect("a file");
        file.write_all(value).expect("a write");
        file.sync_all().expect("a flush");
    }

    fn rename(&self, name: &str) {
        let path = self.path(name);
        if fs::rename(self.temp(name), &path).is_err() {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::rename(self.temp(name), &path).expect("a rename");
        }
    }

    pub(crate) fn put_by(&self, threads: usize, blocks: &Blocks) {
        blocks.by_threads(threads, |name, index| {
            self.put(name, &blocks.value(index));
        });
    }

    pub(crate) fn put_durably_by(&self, threads: usize, blocks: &Blocks) {
        blocks.by_threads(threads, |name, index| {
            self.put_durably(name, &blocks.value(index));
        });
    }

    pub(crate) fn put_durably_with_names_by(&self, threads: usize, blocks: &Blocks) {
        blocks.by_threads(threads, |name, index| {
            self.put_durably_with_name(name, &blocks.value(index));
        });
    }

    /// Writes all blocks, each thread in a directory of its own, then links all. The links leave the first names as
    /// they are, so that the second part can be repeated after a crash.
    pub(crate) fn batch_with_links_by(&self, threads: usize, blocks: &Blocks) {
        let staging = |thread| self.root.join(".temp").join(format!("{thread}"));
        (0..threads).for_each(|thread| fs::create_dir_all(staging(thread)).expect("a directory"));
        let share = blocks.len().div_ceil(threads).max(1);
        let staged = |name: &str, index: usize| staging(index / share).join(name);
        blocks.by_threads(threads, |name, index| {
            fs::write(staged(name, index), blocks.value(index)).expect("a write");
        });
        blocks.by_threads(threads, |name, index| {
            let (staged, path) = (staged(name, index), self.path(name));
            if fs::hard_link(&staged, &path).is_err() {
                fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
                fs::hard_link(&staged, &path).expect("a link");
            }
        });
    }

    /// Writes all blocks, then renames all.
    pub(crate) fn batch_by(&self, threads: usize, blocks: &Blocks) {
        blocks.by_threads(threads, |name, index| {
            fs::write(self.temp(name), blocks.value(index)).expect("a write");
        });
        blocks.by_threads(threads, |name, _| self.rename(name));
    }

    /// Writes and flushes each block, then renames all. The names may be lost.
    pub(crate) fn batch_durably_by(&self, threads: usize, blocks: &Blocks) {
        blocks.by_threads(threads, |name, index| {
            self.write_durably(name, &blocks.value(index));
        });
        blocks.by_threads(threads, |name, _| self.rename(name));
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a read")
    }

    pub(crate) fn get_absent(&self, name: &str) -> bool {
        fs::read(self.path(name)).is_err()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        fs::metadata(self.path(name)).is_ok()
    }

    pub(crate) fn delete(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("a removal");
    }

    /// Writes a block at its path directly, to fill a store and not to measure it.
    pub(crate) fn plant(&self, name: &str, value: &[u8]) {
        let path = self.path(name);
        if fs::write(&path, value).is_err() {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, value).expect("a write");
        }
    }

    /// Reads the directories, and what the query asks for of each entry.
    pub(crate) fn query(&self, query: &Query) -> usize {
        let mut count = 0;
        for shard in fs::read_dir(&self.root).expect("a directory") {
            let shard = shard.expect("an entry");
            let is_dir = shard.file_type().expect("a type").is_dir();
            if !is_dir || shard.file_name() == ".temp" {
                continue;
            }
            for entry in fs::read_dir(shard.path()).expect("a directory") {
                let path = entry.expect("an entry").path();
                if !query.keys_only {
                    std::hint::black_box(fs::read(path).expect("a read"));
                } else if query.returns_sizes {
                    std::hint::black_box(fs::metadata(path).expect("a size").len());
                } else {
                    std::hint::black_box(path);
                }
                count += 1;
            }
        }
        count
    }
}
