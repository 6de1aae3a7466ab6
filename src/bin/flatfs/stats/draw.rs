//! [`Stats`] drawn with block characters.

use indicatif::{BinaryBytes, HumanCount};

use super::{Bin, Stats};

/// Bars within one character, from low to high.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The ends of a bar that fill a character in part, from one eighth to seven.
const WIDTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Draws how large the blocks and how full the shards are, at most `width` characters wide if that leaves
/// room for a bar.
pub(crate) fn draw(stats: &Stats, width: usize) -> String {
    let mut text = String::new();
    let bins = stats.size_bins();
    if !bins.is_empty() {
        text.push_str("\nblock sizes\n");
        text.push_str(&histogram(&bins, width));
    }
    if stats.shards_used() > 0 {
        text.push_str("\nblocks per shard, over the shards in order\n");
        text.push_str(&format!("  {}\n", skyline(stats, width.saturating_sub(2))));
    }
    text
}

fn histogram(bins: &[Bin], width: usize) -> String {
    let labels: Vec<(String, String)> = bins
        .iter()
        .map(|bin| {
            let below = format!("below {}", size(bin.below));
            (below, HumanCount(bin.blocks).to_string())
        })
        .collect();
    let left = labels.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let right = labels
        .iter()
        .map(|(_, count)| count.len())
        .max()
        .unwrap_or(0);
    let room = width.saturating_sub(left + right + 6).max(1);
    let max = bins.iter().map(|bin| bin.blocks).max().unwrap_or(0);
    let mut text = String::new();
    for (bin, (name, count)) in bins.iter().zip(&labels) {
        let bar = bar(bin.blocks, max, room);
        text.push_str(&format!("  {name:<left$}  {count:>right$}  {bar}"));
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Returns a bar that fills the same fraction of `room` as `part` is of `max`. Only a part of zero has no bar.
fn bar(part: u64, max: u64, room: usize) -> String {
    let eighths = scale(part, max, room * 8).max(usize::from(part > 0));
    let mut bar = "█".repeat(eighths / 8);
    let rest = (eighths % 8).checked_sub(1);
    bar.extend(rest.and_then(|rest| WIDTHS.get(rest)));
    bar
}

/// Returns a character for each shard, whose height shows how many blocks the shard has. If there are more
/// shards than there is room for, a character stands for neighbors and shows their mean.
fn skyline(stats: &Stats, width: usize) -> String {
    let fills: Vec<u64> = stats.shard_fills().collect();
    let group = fills.len().div_ceil(width.max(1)).max(1);
    let means: Vec<u64> = fills
        .chunks(group)
        .map(|group| group.iter().sum::<u64>().div_ceil(group.len() as u64))
        .collect();
    let max = means.iter().copied().max().unwrap_or(0);
    let height = |mean: &u64| HEIGHTS.get(scale(*mean, max, HEIGHTS.len() - 1));
    means.iter().filter_map(height).collect()
}

/// Returns `part` as a number of steps, where `max` is `steps` steps.
fn scale(part: u64, max: u64, steps: usize) -> usize {
    if max == 0 {
        return 0;
    }
    let scaled = u128::from(part) * steps as u128 / u128::from(max);
    usize::try_from(scaled).unwrap_or(steps)
}

fn size(bytes: u64) -> String {
    let whole = BinaryBytes(bytes).to_string();
    whole.replace(".00", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(count: u64) -> Stats {
        let mut stats = Stats::default();
        for i in 0..count {
            stats.add(format!("{:03}", i % 300), i * i);
        }
        stats
    }

    #[test]
    fn the_drawing_fits_the_width() {
        for count in [1, 40, 3000] {
            for width in [40, 80, 200] {
                for line in draw(&stats(count), width).lines().skip(1) {
                    let long = line.chars().count() > width;
                    assert!(!long || !line.starts_with(' '), "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_drawn_for_no_blocks_and_a_width_of_zero_does_not_panic() {
        assert_eq!(draw(&stats(0), 80), "");
        assert!(!draw(&stats(10), 0).is_empty());
    }

    #[test]
    fn the_length_of_a_bar_is_in_proportion() {
        assert_eq!(bar(8, 8, 4), "████");
        assert_eq!(bar(4, 8, 4), "██");
        assert_eq!(bar(1, 8, 4), "▌");
        assert_eq!(bar(1, 1_000_000, 4), "▏");
        assert_eq!(bar(0, 8, 4), "");
    }

    #[test]
    fn the_skyline_shows_each_shard_while_there_is_room() {
        let mut stats = Stats::default();
        for shard in ["A", "B", "B", "C", "C", "C", "C", "C", "C", "C", "C"] {
            stats.add(shard.to_owned(), 1);
        }
        assert_eq!(skyline(&stats, 80), "▁▂█");
        assert_eq!(skyline(&stats, 2).chars().count(), 2);
    }
}
