//! [`SyncMethod`]: how a file system makes everything in a store durable.

/// How everything in a store is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncMethod {
    /// By fsync(2) of each file and directory.
    EachFile,
    /// By syncfs(2).
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only Linux has it")
    )]
    FileSystem,
    /// By syncfs(2) and then fsync(2) of the root directory, which does what syncfs(2) leaves out: it
    /// flushes the cache of the device, or reports that the file system has failed before.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only Linux has it")
    )]
    FileSystemThenRoot,
}
