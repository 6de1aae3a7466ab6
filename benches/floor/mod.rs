//! The floor: what the same work costs as plain `std::fs` calls, without async, checks or promises.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use ds_flatfs::{Query, Shard};

pub(crate) struct Floor {
    root: PathBuf,
    shard: Shard,
}

impl Floor {
    pub(crate) fn new(dir: &Path) -> Self {
        let root = dir.join("floor");
        fs::create_dir_all(root.join(".temp")).expect("a directory");
        Floor {
            root,
            shard: Shard::default(),
        }
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

    fn rename(&self, name: &str) {
        let path = self.path(name);
        if fs::rename(self.temp(name), &path).is_err() {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::rename(self.temp(name), &path).expect("a rename");
        }
    }

    pub(crate) fn put_by_two(&self, names: &[String], value: &[u8]) {
        by_two(names, |name| self.put(name, value));
    }

    /// Writes all, then renames all.
    pub(crate) fn batch_by_two(&self, names: &[String], value: &[u8]) {
        by_two(names, |name| {
            fs::write(self.temp(name), value).expect("a write");
        });
        by_two(names, |name| self.rename(name));
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a read")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        fs::metadata(self.path(name)).is_ok()
    }

    /// Reads the directories, and of each entry as much as the query asks for.
    pub(crate) fn query(&self, query: &Query) -> usize {
        let mut count = 0;
        for shard in fs::read_dir(&self.root).expect("a directory") {
            let shard = shard.expect("an entry");
            if shard.file_name() == ".temp" {
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

fn by_two(names: &[String], work: impl Fn(&str) + Sync) {
    let (first, second) = names.split_at(names.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| first.iter().for_each(|name| work(name)));
        second.iter().for_each(|name| work(name));
    });
}
