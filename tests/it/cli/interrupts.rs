//! Ctrl-C during an export.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use super::{Finished, TestDir, run, start};
use crate::platform::interrupt;

/// Starts an export that blocks because nothing more is read from its output.
fn stuck_export(tmp: &TestDir) -> (Child, ChildStdout) {
    let mut child = start(&["export", &tmp.store_of("small.car")], Stdio::null());
    let mut stdout = child.stdout.take().expect("a pipe");
    // The CAR is much larger than the buffer of a pipe.
    stdout.read_exact(&mut [0; 1]).expect("a first byte");
    (child, stdout)
}

#[test]
#[cfg_attr(windows, ignore = "needs a program that sends Ctrl-C: see .ci/wine")]
fn an_interrupted_export_leaves_a_car_that_does_not_read_to_its_end() {
    let tmp = TestDir::new();
    let (mut child, mut stdout) = stuck_export(&tmp);
    interrupt(&child);
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("a line");
    assert!(said.contains("interrupted, cleaning up"), "{said}");
    // The byte that was read: the length of the header.
    let mut half = vec![17];
    stdout.read_to_end(&mut half).expect("the rest");
    stderr.read_to_string(&mut said).expect("the rest");
    assert_eq!(child.wait().expect("its end").code(), Some(130), "{said}");
    let half = tmp.file("half.car", &half);
    let done = run(&["import", &tmp.path("copy"), &half]);
    done.failed(3, &["none of", "cut short"]);
}

#[test]
#[cfg_attr(windows, ignore = "needs a program that sends Ctrl-C: see .ci/wine")]
fn a_second_interrupt_ends_the_program_even_if_it_is_blocked() {
    let tmp = TestDir::new();
    let (mut child, stdout) = stuck_export(&tmp);
    interrupt(&child);
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("a line");
    assert!(said.contains("again to end at once"), "{said}");
    interrupt(&child);
    let done = Finished::of(child.wait_with_output().expect("its end"));
    drop(stdout);
    assert_eq!(done.code, 130, "{done:?}");
}
