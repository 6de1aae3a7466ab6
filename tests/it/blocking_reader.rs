//! Reads that block the thread.

use std::sync::Arc;

use ds_flatfs::{Datastore, Error, Key};

use crate::support::{Home, block};

#[tokio::test]
async fn a_blocking_reader_reads_what_the_store_has_until_it_is_closed() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let (key, value) = block(1);
    store.put(&key, value.clone()).await.unwrap();
    // Also behind a pointer.
    let datastore: Arc<dyn Datastore> = Arc::new(store.clone());
    let reader = datastore.blocking_reader().await.unwrap().unwrap();
    let (absent, impossible) = (block(2).0, Key::new("/not a block"));
    let read = tokio::task::spawn_blocking(move || {
        assert_eq!(reader.get(&key).unwrap(), Some(value.clone()));
        assert_eq!(reader.get_size(&key).unwrap(), Some(value.len() as u64));
        for key in [absent, impossible] {
            assert_eq!(reader.get(&key).unwrap(), None);
            assert_eq!(reader.get_size(&key).unwrap(), None);
        }
        (reader, key)
    });
    let (reader, key) = read.await.unwrap();
    // The close waits for the reader, which fails from then on.
    let closing = tokio::spawn(async move { store.close().await });
    let read = tokio::task::spawn_blocking(move || {
        loop {
            if let Err(error) = reader.get(&key) {
                return error;
            }
            std::thread::yield_now();
        }
    });
    assert!(matches!(read.await.unwrap(), Error::Closed));
    closing.await.unwrap().unwrap();
    let error = datastore.blocking_reader().await.unwrap_err();
    assert!(matches!(error, Error::Closed));
}
