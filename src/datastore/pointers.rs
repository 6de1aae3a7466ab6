//! [`Datastore`] for `Arc` and `Box`, and [`Batch`] for `Box`.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Batch, BlockingReader, Datastore, DiskUsage, KeyStream, PutStream, ResultStream};
use crate::error::Result;
use crate::key::Key;
use crate::query::{EntryStream, Query};

/// Declares methods that return the future of the pointee, with the signatures that `async_trait` generates. An
/// `async fn` would wrap that future in a second box.
macro_rules! forward {
    ($(fn $name:ident<$($life:lifetime)?>(&self $(, $arg:ident: $type:ty)*) -> $output:ty;)*) => {$(
        fn $name<'s, $($life,)? 'f>(&'s self $(, $arg: $type)*) -> BoxFuture<'f, $output>
        where
            's: 'f,
            $($life: 'f,)?
            Self: 'f,
        {
            (**self).$name($($arg),*)
        }
    )*};
}

macro_rules! impl_datastore {
    ($pointer:ident) => {
        impl<D: Datastore + ?Sized> Datastore for $pointer<D> {
            forward! {
                fn get<'k>(&self, key: &'k Key) -> Result<Option<Bytes>>;
                fn has<'k>(&self, key: &'k Key) -> Result<bool>;
                fn get_size<'k>(&self, key: &'k Key) -> Result<Option<u64>>;
                fn query<>(&self, query: Query) -> Result<EntryStream>;
                fn blocking_reader<>(&self) -> Result<Option<Box<dyn BlockingReader>>>;
                fn put<'k>(&self, key: &'k Key, value: Bytes) -> Result<()>;
                fn delete<'k>(&self, key: &'k Key) -> Result<()>;
                fn put_many<'p>(&self, puts: PutStream<'p>) -> Result<()>;
                fn delete_many<'k>(&self, keys: KeyStream<'k>) -> Result<()>;
                fn sync<>(&self) -> Result<()>;
                fn batch<>(&self) -> Result<Box<dyn Batch>>;
                fn disk_usage<>(&self) -> Result<DiskUsage>;
                fn close<>(&self) -> Result<()>;
            }

            fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
                (**self).get_many(keys)
            }

            fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
                (**self).has_many(keys)
            }
        }
    };
}

impl_datastore!(Arc);
impl_datastore!(Box);

impl<B: Batch + ?Sized> Batch for Box<B> {
    forward! {
        fn get<'k>(&self, key: &'k Key) -> Result<Option<Bytes>>;
        fn has<'k>(&self, key: &'k Key) -> Result<bool>;
        fn get_size<'k>(&self, key: &'k Key) -> Result<Option<u64>>;
        fn query<>(&self, query: Query) -> Result<EntryStream>;
        fn put<'k>(&self, key: &'k Key, value: Bytes) -> Result<()>;
        fn delete<'k>(&self, key: &'k Key) -> Result<()>;
    }

    fn commit<'f>(self: Box<Self>) -> BoxFuture<'f, Result<()>>
    where
        Self: 'f,
    {
        (*self).commit()
    }

    fn discard<'f>(self: Box<Self>) -> BoxFuture<'f, Result<()>>
    where
        Self: 'f,
    {
        (*self).discard()
    }
}
