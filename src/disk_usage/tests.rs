use super::*;

#[test]
fn the_growth_of_a_marked_directory_is_found_once() {
    let sizes = DirSizes::default();
    sizes.note("AA", 10);
    sizes.note("BB", 20);
    sizes.note("AA", 50);
    assert_eq!(sizes.refresh(|_| Ok(100)).unwrap(), 0);
    sizes.mark("AA");
    assert!(sizes.is_due.load(Ordering::SeqCst));
    assert_eq!(sizes.refresh(|_| Ok(100)).unwrap(), 90);
    assert!(!sizes.is_due.load(Ordering::SeqCst));
    sizes.mark("AA");
    assert_eq!(sizes.refresh(|_| Ok(70)).unwrap(), -30);
    sizes.note_new("BB", 30);
    sizes.mark("BB");
    assert_eq!(sizes.refresh(|_| Ok(31)).unwrap(), 1);
    assert!(!sizes.has_gaps.load(Ordering::SeqCst));
    sizes.mark("CC");
    assert!(sizes.has_gaps.load(Ordering::SeqCst));
}
