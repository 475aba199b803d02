"""People drawn from MakeHuman's meshes: profiles, bowed heads and backs of heads, of which photographs show few."""
