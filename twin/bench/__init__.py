"""How fast the twin is: what is asked of it as data, and the measurements that answer."""
