//! What is on a terminal's screen, from what was sent to it: as much of ECMA-48 as our program uses.

/// The screen after all of this, line by line.
pub fn of(sent: &str, columns: usize, rows: usize) -> String {
    let mut screen = vec![vec![' '; columns]; rows];
    let (mut row, mut column) = (0, 0);
    let mut signs = sent.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\u{1b}' => match signs.next() {
                Some('[') => {
                    let mut parameters = String::new();
                    let end = loop {
                        match signs.next() {
                            Some(end @ '@'..='~') => break end,
                            Some(parameter) => parameters.push(parameter),
                            // Cut off in the middle: the rest is on its way.
                            None => break ' ',
                        }
                    };
                    let mut numbers =
                        parameters.split(';').map(|number| number.parse::<usize>().unwrap_or(1));
                    match end {
                        'H' => {
                            (row, column) = (numbers.next().unwrap_or(1) - 1, numbers.next().unwrap_or(1) - 1)
                        }
                        'J' => screen.iter_mut().for_each(|line| line.fill(' ')),
                        _ => {}
                    }
                }
                // Which signs are meant, by one more.
                Some('(' | ')') => drop(signs.next()),
                _ => {}
            },
            '\r' => column = 0,
            '\n' => row += 1,
            sign => {
                if let Some(place) = screen.get_mut(row).and_then(|line| line.get_mut(column)) {
                    *place = sign;
                }
                column += 1;
            }
        }
    }
    let lines = screen.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}
