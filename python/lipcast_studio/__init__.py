"""Tools around lipcast avatars: making, importing, training, checking."""
