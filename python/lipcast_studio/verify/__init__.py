"""`lipcast avatar verify`: does an avatar speak in time, close its mouth, and show no seam?"""
