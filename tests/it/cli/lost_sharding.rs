//! Stores whose `SHARDING` is missing, empty or garbled.

use std::fs;
use std::path::Path;

use super::{TestDir, files, fixture, run, succeed};

#[test]
fn every_command_says_where_to_find_the_recipe_and_the_recipe_works() {
    for lost in [None, Some(""), Some("garbage")] {
        let tmp = TestDir::new();
        let store = tmp.store_of("small.car");
        let before = files(&store);
        let sharding = Path::new(&store).join("SHARDING");
        match lost {
            None => fs::remove_file(&sharding).unwrap(),
            Some(text) => fs::write(&sharding, text).unwrap(),
        }
        let car = fixture("hello.car");
        for args in [
            &["stat", &store][..],
            &["import", &store, &car],
            &["reshard", &store, "prefix/2"],
            &["du", &store],
            &["verify", "--repair", &store],
        ] {
            run(args).failed(3, &[&store, "flatfs help verify"]);
        }
        let verified = run(&["verify", &store]);
        assert_eq!(verified.code, 1, "{verified:?}");
        assert!(verified.text().starts_with("sharding: "), "{verified:?}");

        // The recipe in the help.
        let help = succeed(&["verify", "--help"]);
        let line = "/repo/flatfs/shard/v1/next-to-last/2";
        assert!(help.text().contains(&format!("echo {line} > DIR/SHARDING")));
        fs::write(&sharding, format!("{line}\n")).unwrap();
        succeed(&["verify", "--quick", &store]);
        assert_eq!(files(&store), before);

        fs::write(&sharding, "/repo/flatfs/shard/v1/prefix/2\n").unwrap();
        let wrong = run(&["verify", "--quick", &store]);
        assert!(wrong.text().contains(" misplaced; "), "{wrong:?}");
    }
}
