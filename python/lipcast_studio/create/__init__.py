"""`lipcast avatar create VIDEO -o DIR`: a recording of a person who speaks becomes a trained avatar."""
