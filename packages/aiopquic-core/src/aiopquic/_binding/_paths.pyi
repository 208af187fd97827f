from aiopquic._paths import PATH_WISHES as PATH_WISHES
