//! Colours, or what stands for them where there are none (`NO_COLOR`, <https://no-color.org>).

use ratatui::style::{Color, Modifier, Style};

use crate::commands::top::panes::Tone;

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    coloured: bool,
}

impl Theme {
    /// With colours, or without.
    pub const fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    /// Usual text.
    pub const fn plain(self) -> Style {
        Style::new()
    }

    /// Titles.
    pub const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there to be looked up only.
    pub const fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The line or the list that keys act on.
    pub const fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// By how it is to be taken.
    pub const fn tone(self, tone: Tone) -> Style {
        match (tone, self.coloured) {
            (Tone::Plain, _) => self.plain(),
            (Tone::Old, _) => self.faint(),
            (Tone::Warning, true) => Style::new().fg(Color::Yellow),
            (Tone::Bad, true) => self.strong().fg(Color::Red),
            (Tone::Warning, false) => Style::new().add_modifier(Modifier::UNDERLINED),
            (Tone::Bad, false) => self.strong().add_modifier(Modifier::UNDERLINED),
        }
    }
}
