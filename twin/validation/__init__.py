"""The plant held against standards, makers' figures and papers: the cases V1 to V13, what each expects and obtains."""
