"""From traffic and schedules to tables, JSON, HTML and timelines."""
